package io.shunt.libbpf;

/** libbpf, or a function of it that is needed, is not on this machine. The message says what to install. */
public final class LibraryMissingException extends RuntimeException {
    LibraryMissingException(String message) {
        super(message);
    }
}
