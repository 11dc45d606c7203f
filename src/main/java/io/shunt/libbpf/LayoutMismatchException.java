package io.shunt.libbpf;

import java.util.List;

/** Memory that two sides share is not laid out alike. The message lists each difference. */
public final class LayoutMismatchException extends RuntimeException {
    private final List<String> differences;

    LayoutMismatchException(String what, List<String> differences) {
        super(what + String.join("; ", differences));
        this.differences = List.copyOf(differences);
    }

    public List<String> differences() {
        return differences;
    }
}
