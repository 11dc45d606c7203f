package io.shunt.source;

import java.io.Reader;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.events.AliasEvent;
import org.snakeyaml.engine.v2.events.Event;
import org.snakeyaml.engine.v2.exceptions.ParserException;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.io.IOContext;
import tools.jackson.dataformat.yaml.YAMLFactory;
import tools.jackson.dataformat.yaml.YAMLParser;
import tools.jackson.dataformat.yaml.YAMLReadFeature;

/**
 * YAML of any length, read as a stream. Aliases are refused: a stream cannot resolve them, and Jackson would take the
 * alias's name for its value.
 */
final class PlainYamlFactory extends YAMLFactory {
    private static final long serialVersionUID = 1;

    PlainYamlFactory() {
        super(YAMLFactory.builder()
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .enable(YAMLReadFeature.EMPTY_STRING_AS_NULL)
                .loadSettings(LoadSettings.builder()
                        .setCodePointLimit(Integer.MAX_VALUE)
                        .build()));
    }

    @Override
    protected YAMLParser _createParser(ObjectReadContext readContext, IOContext ioContext, Reader reader) {
        return new YAMLParser(
                readContext,
                ioContext,
                _getBufferRecycler(),
                readContext.getStreamReadFeatures(getStreamReadFeatures()),
                readContext.getFormatReadFeatures(getFormatReadFeatures()),
                _loadSettings,
                reader) {
            @Override
            protected Event nextEvent() {
                Event event = super.nextEvent();
                if (event instanceof AliasEvent alias) {
                    throw new ParserException(
                            "aliases are not supported; write out what *"
                                    + alias.getAlias().getValue() + " stands for",
                            alias.getStartMark());
                }
                return event;
            }
        };
    }
}
