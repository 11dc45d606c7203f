package io.shunt.cli;

import java.lang.reflect.Field;
import java.util.Map;
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

    static @Nullable Setting of(ArgSpec argument) {
        return argument.userObject() instanceof Field field ? field.getAnnotation(Setting.class) : null;
    }

    /** What holds if an option is not given, in words; "" if nothing does. */
    static String fallback(OptionSpec option) {
        Setting setting = of(option);
        if (setting != null && !setting.otherwise().isEmpty()) {
            return setting.otherwise();
        }
        String literal = option.defaultValue();
        return literal == null ? "" : literal;
    }

    /** What the help says of an option beside its description; "" if there is nothing to say. */
    static String remark(OptionSpec option) {
        String fallback = fallback(option);
        Setting setting = of(option);
        String remark = fallback.isEmpty() ? "" : "Default: " + fallback + ".";
        if (setting == null) {
            return remark;
        }
        return (remark.isEmpty() ? "" : remark + " ") + "Environment: " + setting.environment() + ".";
    }

    @Override
    public @Nullable String defaultValue(ArgSpec argument) {
        Setting setting = of(argument);
        String value = setting == null ? null : environment.get(setting.environment());
        return value == null || value.isBlank() ? null : value;
    }
}
