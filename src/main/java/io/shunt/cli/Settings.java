package io.shunt.cli;

import io.shunt.config.KubeProxySetting;
import io.shunt.config.KubeProxySetting.Use;
import java.lang.reflect.Field;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;

/** Reads options that are not given from the environment, and says so in the help. */
final class Settings implements IDefaultValueProvider {
    private final Map<String, String> environment;

    Settings(Map<String, String> environment) {
        this.environment = environment;
    }

    private static @Nullable Setting annotation(ArgSpec argument) {
        return argument.userObject() instanceof Field field ? field.getAnnotation(Setting.class) : null;
    }

    private static @Nullable Use use(ArgSpec argument) {
        return argument.userObject() instanceof KubeProxySetting<?> setting ? setting.use() : null;
    }

    /** The variable that is read if an option is not given; "" if none. */
    static String environment(ArgSpec argument) {
        Setting setting = annotation(argument);
        Use use = use(argument);
        return setting != null ? setting.environment() : use != null ? use.environment() : "";
    }

    /** What holds if an option is not given, as it would be given; "" if nothing does, or only words can say it. */
    static String literal(OptionSpec option) {
        Use use = use(option);
        String literal = use != null ? use.fallback() : option.defaultValue();
        return literal == null ? "" : literal;
    }

    /** What holds if an option is not given, in words; "" if nothing does. */
    static String fallback(OptionSpec option) {
        Setting setting = annotation(option);
        Use use = use(option);
        String words = setting != null ? setting.otherwise() : use != null ? use.otherwise() : "";
        return words.isEmpty() ? literal(option) : words;
    }

    /** What the help says of an option beside its description; "" if there is nothing to say. */
    static String remark(OptionSpec option) {
        String fallback = fallback(option);
        String environment = environment(option);
        return Stream.of(
                        fallback.isEmpty() ? "" : "Default: " + fallback + ".",
                        environment.isEmpty() ? "" : "Environment: " + environment + ".")
                .filter(sentence -> !sentence.isEmpty())
                .collect(Collectors.joining(" "));
    }

    /** kube-proxy's flags come to their values in {@link KubeProxyFlags}, where a file counts more than a variable. */
    @Override
    public @Nullable String defaultValue(ArgSpec argument) {
        Setting setting = annotation(argument);
        String value = setting == null ? null : environment.get(setting.environment());
        return value == null || value.isBlank() ? null : value;
    }
}
