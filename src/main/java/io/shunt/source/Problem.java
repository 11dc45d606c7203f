package io.shunt.source;

import java.util.Locale;

/**
 * Something that a source could not use, as its operator has to see it.
 *
 * @param object what it is about: {@code Service default/web}, a file's name, a directory or a URL
 * @param where file and line, {@code web.yaml:12}, or the file alone; "" if it was not in a file
 * @param field the field, {@code spec.ports[0].port}, "" if it is not about one
 * @param message what is wrong, without the above
 * @param cure what to do about it
 */
public record Problem(Cause cause, String object, String where, String field, String message, String cure) {
    /** What went wrong, as metrics count it. */
    public enum Cause {
        /** Not YAML or JSON, or not of a manifest's shape. */
        SYNTAX,
        /** An object that breaks a rule of its kind. */
        INVALID,
        /** One object in two files. */
        DUPLICATE,
        /** A file or directory that cannot be read. */
        UNREADABLE,
        /** The API server cannot be reached. */
        CONNECTION,
        /** The API server's certificate, or ours, is not accepted. */
        TLS,
        /** The API server did not answer in time. */
        TIMEOUT,
        /** 401: the API server does not know who we are. */
        UNAUTHORIZED,
        /** 403: the API server does not let us. */
        FORBIDDEN,
        /** Another HTTP status than success. */
        HTTP_STATUS,
        /** An answer that is not what the Kubernetes API says. */
        GARBAGE;

        /** Lower case with underscores, as a metric's label has it. */
        public String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** All of it in one line: {@code Service default/web (web.yaml:12): spec.ports[0].port: … ; cure}. */
    @Override
    public String toString() {
        StringBuilder text = new StringBuilder(object);
        if (!where.isEmpty()) {
            text.append(" (").append(where).append(')');
        }
        text.append(": ");
        if (!field.isEmpty()) {
            text.append(field).append(": ");
        }
        text.append(message);
        if (!cure.isEmpty()) {
            text.append("; ").append(cure);
        }
        return text.toString();
    }
}
