package io.shunt.config;

/** A value is not of its setting's shape. The message goes behind the setting's name: {@code must be a port, not 0}. */
final class WrongValueException extends RuntimeException {
    private final int element;

    /** @param element which element of a list it is, -1 if there is no list */
    WrongValueException(int element, String message) {
        super(message);
        this.element = element;
    }

    /** What stands between the setting's name and the message: {@code [2]}, or nothing. */
    String index() {
        return element < 0 ? "" : "[" + element + "]";
    }
}
