package io.shunt.source;

/** An API object breaks a rule of its kind: the field ({@code spec.ports[0].port}), what is wrong, and the cure. */
final class InvalidObjectException extends Exception {
    private static final long serialVersionUID = 1;

    private final String field;
    private final String cure;

    InvalidObjectException(String field, String message, String cure) {
        super(message, null, false, false);
        this.field = field;
        this.cure = cure;
    }

    Problem problem(String object, String where) {
        return new Problem(Problem.Cause.INVALID, object, where, field, String.valueOf(getMessage()), cure);
    }

    /** That {@code object} is served without the field, which is an entry of a list or an annotation. */
    Problem leftOut(String object) {
        return new Problem(Problem.Cause.INVALID, object, "", field, getMessage() + ", so it is left out", cure);
    }

    String field() {
        return field;
    }
}
