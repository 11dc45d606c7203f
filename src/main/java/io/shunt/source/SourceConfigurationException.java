package io.shunt.source;

import org.jspecify.annotations.Nullable;

/**
 * A source that can never work as it is configured. The message is one line for the operator: what is wrong, where,
 * and the cure.
 */
public final class SourceConfigurationException extends RuntimeException {
    private static final long serialVersionUID = 1;

    SourceConfigurationException(String message) {
        super(message);
    }

    SourceConfigurationException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
