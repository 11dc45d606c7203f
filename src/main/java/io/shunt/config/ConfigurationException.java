package io.shunt.config;

import org.jspecify.annotations.Nullable;

/** A setting is wrong; the message is one line that names the flag, or the file and field, and says what to give. */
public final class ConfigurationException extends RuntimeException {
    ConfigurationException(String message) {
        super(message);
    }

    ConfigurationException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
