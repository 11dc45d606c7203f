package io.shunt.libbpf;

/** The kernel's verifier refused a program. The message ends with the last lines of its log. */
public final class VerifierException extends BpfException {
    private static final int LINES_SHOWN = 12;

    private final String log;

    VerifierException(String call, String object, int errno, String log) {
        super(call, object, errno, "the verifier refused it:\n" + lastLines(log));
        this.log = log;
    }

    /** All that the verifier said: the instructions as it walked them, and at the end what it objects to. */
    public String log() {
        return log;
    }

    private static String lastLines(String log) {
        String text = log.stripTrailing();
        int start = text.length();
        for (int line = 0; line < LINES_SHOWN && start > 0; line++) {
            start = text.lastIndexOf('\n', start - 1);
        }
        return text.substring(start + 1);
    }
}
