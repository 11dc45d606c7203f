package io.shunt.config;

import org.jspecify.annotations.Nullable;

/**
 * One setting of kube-proxy.
 *
 * @param field where it stands in a KubeProxyConfiguration, {@code iptables.syncPeriod}; "" if only a flag sets it
 * @param flag the flag that sets it too, without dashes; "" if only the file sets it
 * @param shape what it may be
 * @param use how Shunt takes it, null if it has no meaning here
 */
public record KubeProxySetting<T>(
        String field, String flag, Shape<T> shape, @Nullable Use use) {
    /**
     * How Shunt takes a setting.
     *
     * @param environment the variable that counts where neither flag nor file says anything, "" if none
     * @param fallback what holds if nothing says anything, as it would be given; "" if nothing does
     * @param otherwise the same in words, where {@code fallback} cannot say it
     * @param description for people
     */
    public record Use(String environment, String fallback, String otherwise, String description) {}

    /** Whether its flag counts also beside a configuration file, as kube-proxy has it for a few. */
    public boolean flagOverridesFile() {
        return this == KubeProxySettings.HOSTNAME_OVERRIDE
                || this == KubeProxySettings.MASTER
                || field.startsWith("logging.")
                || (field.isEmpty() && use == null);
    }

    @Override
    public String toString() {
        return field.isEmpty() ? "--" + flag : field;
    }
}
