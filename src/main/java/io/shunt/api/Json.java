package io.shunt.api;

import java.io.OutputStream;
import tools.jackson.core.StreamWriteFeature;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.json.JsonMapper;

/** JSON as every face of Shunt writes and reads it: fields in their records' order, times in RFC 3339. */
public final class Json {
    public static final JsonMapper MAPPER = JsonMapper.builder()
            .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
            .disable(StreamWriteFeature.AUTO_CLOSE_TARGET)
            .build();

    private Json() {}

    /** Writes {@code value} and leaves {@code out} open. */
    static void write(OutputStream out, Object value) {
        MAPPER.writeValue(out, value);
    }
}
