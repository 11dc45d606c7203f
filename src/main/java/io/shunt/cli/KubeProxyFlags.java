package io.shunt.cli;

import io.shunt.config.ConfigFile;
import io.shunt.config.ConfigurationException;
import io.shunt.config.KubeProxyConfiguration;
import io.shunt.config.KubeProxySetting;
import io.shunt.config.KubeProxySetting.Use;
import io.shunt.config.KubeProxySettings;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * kube-proxy's flags, made from the table of its settings, and what they, a configuration file and the environment come
 * to. Beside a file most flags do not count, as kube-proxy has it.
 */
final class KubeProxyFlags {
    private final CommandSpec command;
    private final Map<String, String> environment;
    private final @Nullable ConfigFile file;

    KubeProxyFlags(CommandSpec command, Map<String, String> environment, @Nullable ConfigFile file) {
        this.command = command;
        this.environment = environment;
        this.file = file;
    }

    /** Gives a command all of kube-proxy's flags; those without meaning here are not in its help. */
    static void addTo(CommandSpec command) {
        KubeProxySettings.all().stream()
                .filter(setting -> !setting.flag().isEmpty())
                .map(KubeProxyFlags::option)
                .forEach(command::addOption);
    }

    private static OptionSpec option(KubeProxySetting<?> setting) {
        Use use = setting.use();
        boolean truth = setting.shape().isTruth();
        boolean list = setting.shape().isList();
        return OptionSpec.builder(names(setting))
                .type(list ? List.class : String.class)
                .auxiliaryTypes(String.class)
                .arity(truth ? "0..1" : "1")
                .fallbackValue(truth ? "true" : "")
                .paramLabel(setting.shape().label())
                .description(use == null ? "" : use.description())
                .hidden(use == null)
                .userObject(setting)
                .build();
    }

    private static String[] names(KubeProxySetting<?> setting) {
        String name = "--" + setting.flag();
        return setting.flag().length() == 1 ? new String[] {"-" + setting.flag(), name} : new String[] {name};
    }

    /** @throws ConfigurationException if a value is wrong */
    KubeProxyConfiguration inForce() {
        KubeProxyConfiguration.Builder values = KubeProxyConfiguration.builder();
        for (KubeProxySetting<?> setting : KubeProxySettings.all()) {
            if (!setFromFlag(values, setting) && !setFromFile(values, setting)) {
                setFromEnvironment(values, setting);
            }
        }
        return values.build();
    }

    private boolean setFromFlag(KubeProxyConfiguration.Builder values, KubeProxySetting<?> setting) {
        OptionSpec option = given(setting);
        if (option == null || (file != null && !setting.flagOverridesFile())) {
            return false;
        }
        List<String> texts = option.stringValues().stream()
                .flatMap(text -> setting.shape().split(text).stream())
                .toList();
        boolean nothing = texts.isEmpty() || texts.getLast().isEmpty();
        if (nothing
                && setting != KubeProxySettings.HEALTHZ_BIND_ADDRESS
                && setting != KubeProxySettings.METRICS_BIND_ADDRESS) {
            return false;
        }
        values.set(setting, texts, name(setting));
        return true;
    }

    private boolean setFromFile(KubeProxyConfiguration.Builder values, KubeProxySetting<?> setting) {
        return file != null && values.setFrom(file.says(), setting);
    }

    private void setFromEnvironment(KubeProxyConfiguration.Builder values, KubeProxySetting<?> setting) {
        String text =
                setting.use() == null ? null : environment.get(setting.use().environment());
        if (text != null && !text.isBlank()) {
            values.set(setting, setting.shape().split(text), name(setting));
        }
    }

    /** In one line, what was given and does not count; "" if all does. */
    String remark(KubeProxyConfiguration inForce) {
        List<String> overruled = KubeProxySettings.all().stream()
                .filter(setting -> file != null && given(setting) != null && !setting.flagOverridesFile())
                .map(setting -> "--" + setting.flag())
                .toList();
        return Stream.of(
                        list("without meaning here", inForce.meaningless()),
                        list("not read beside --config", overruled),
                        list("unknown", file == null ? List.of() : file.unknown()))
                .filter(part -> !part.isEmpty())
                .collect(Collectors.joining("; "));
    }

    private static String list(String title, List<String> items) {
        return items.isEmpty() ? "" : title + ": " + String.join(", ", items);
    }

    /** The option of a setting if it was given on the command line. */
    private @Nullable OptionSpec given(KubeProxySetting<?> setting) {
        return setting.flag().isEmpty()
                ? null
                : command.commandLine().getParseResult().matchedOption("--" + setting.flag());
    }

    /** A flag in messages, with its variable where that is not named after it. */
    private static String name(KubeProxySetting<?> setting) {
        Use use = setting.use();
        String variable = use == null ? "" : use.environment();
        boolean named = variable.isEmpty() || variable.startsWith("SHUNT_");
        return "--" + setting.flag() + (named ? "" : " (or " + variable + ")");
    }
}
