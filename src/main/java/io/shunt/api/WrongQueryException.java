package io.shunt.api;

/** What stands behind the question mark cannot be answered; the message says why, and what would be right. */
final class WrongQueryException extends RuntimeException {
    private static final long serialVersionUID = 1;

    WrongQueryException(String message) {
        super(message);
    }
}
