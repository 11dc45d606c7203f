package io.shunt.api;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * What a page answers.
 *
 * @param status the HTTP status
 * @param body writes the body as it goes out, so that a long one never stands in memory; not called for HEAD
 */
record Reply(int status, String contentType, Body body) {
    /** Writes to the stream and does not close it. */
    @FunctionalInterface
    interface Body {
        void writeTo(OutputStream out) throws IOException;
    }

    static Reply text(int status, String text) {
        return new Reply(status, "text/plain; charset=utf-8", out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
    }

    /** @param value what Jackson can write */
    static Reply json(int status, Object value) {
        return new Reply(status, "application/json", out -> Json.write(out, value));
    }

    static Reply error(int status, String message) {
        return json(status, Map.of("error", message));
    }
}
