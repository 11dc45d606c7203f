package io.shunt.config;

import io.shunt.net.Address;
import io.shunt.net.Prefix;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.dataformat.yaml.YAMLMapper;

/**
 * Settings of kube-proxy with their values. What was not given has none.
 *
 * @param given the values, in the order in which they were given
 */
public record KubeProxyConfiguration(Map<KubeProxySetting<?>, Given> given) {
    /** Texts that ask for nothing where a setting has no meaning here anyway. */
    private static final List<String> NOTHING = List.of("", "0", "0s", "false");

    /**
     * A value.
     *
     * @param texts as it was written
     * @param place the file that says so, as messages begin: {@code --config FILE: }; "" if it was a flag
     * @param name the field or flag
     */
    public record Given(Object value, List<String> texts, String place, String name) {}

    private static final int FLOWS_PER_CORE = 32_768;
    private static final int MOST_SCALED_FLOWS = 1 << 20;
    private static final int LEAST_FLOWS = 131_072;

    public KubeProxyConfiguration {
        given = Collections.unmodifiableMap(new LinkedHashMap<>(given));
    }

    /** Collects values; the last one given counts. */
    public static final class Builder {
        private final Map<KubeProxySetting<?>, Given> given = new LinkedHashMap<>();

        /**
         * Takes a flag's value.
         *
         * @param name the flag, as messages name it
         * @throws ConfigurationException if it is of another shape
         */
        public Builder set(KubeProxySetting<?> setting, List<String> texts, String name) {
            try {
                given.put(setting, new Given(setting.shape().read(texts), texts, "", name));
                return this;
            } catch (WrongValueException e) {
                throw new ConfigurationException(name + " " + e.getMessage(), e);
            }
        }

        /**
         * Takes a field's value.
         *
         * @throws WrongValueException if it is of another shape
         */
        Builder set(KubeProxySetting<?> setting, List<String> texts, Path file) {
            given.put(
                    setting, new Given(setting.shape().read(texts), texts, "--config " + file + ": ", setting.field()));
            return this;
        }

        /** Takes what another configuration says of a setting; returns whether it says anything. */
        public boolean setFrom(KubeProxyConfiguration other, KubeProxySetting<?> setting) {
            Given value = other.given.get(setting);
            if (value != null) {
                given.put(setting, value);
            }
            return value != null;
        }

        boolean has(KubeProxySetting<?> setting) {
            return given.containsKey(setting);
        }

        /**
         * All that was taken.
         *
         * @throws ConfigurationException if values do not go together
         */
        public KubeProxyConfiguration build() {
            KubeProxyConfiguration built = new KubeProxyConfiguration(given);
            built.checkSyncPeriods();
            built.checkInterface(LocalDetection.BRIDGE, KubeProxySettings.BRIDGE_INTERFACE);
            built.checkInterface(LocalDetection.PREFIX, KubeProxySettings.INTERFACE_NAME_PREFIX);
            return built;
        }
    }

    public static Builder builder() {
        return new Builder();
    }

    /** A setting's value, empty if it was not given. */
    @SuppressWarnings("unchecked") // A value is what its setting's shape made.
    public <T> Optional<T> get(KubeProxySetting<T> setting) {
        return Optional.ofNullable(given.get(setting)).map(it -> (T) it.value());
    }

    /** A setting as messages name it, with the file if that says it; its flag if nothing does. */
    public String name(KubeProxySetting<?> setting) {
        Given value = given.get(setting);
        return value == null ? "--" + setting.flag() : value.place() + value.name();
    }

    /** What was given that has no meaning here, but for what asks for nothing. */
    public List<String> meaningless() {
        return given.entrySet().stream()
                .filter(entry -> entry.getKey().use() == null)
                .filter(entry -> !NOTHING.containsAll(entry.getValue().texts()))
                .map(entry -> entry.getValue().name())
                .toList();
    }

    /** As a file that says the same, with what holds where nothing was given. */
    public String toYaml() {
        Map<String, Object> root = new LinkedHashMap<>();
        root.put("apiVersion", ConfigFileReader.API_VERSION);
        root.put("kind", ConfigFileReader.KIND);
        for (KubeProxySetting<?> setting : KubeProxySettings.all()) {
            Given value = given.get(setting);
            Object written = value != null ? written(setting, value.value()) : fallback(setting);
            if (!setting.field().isEmpty() && written != null) {
                put(root, setting.field(), written);
            }
        }
        return new YAMLMapper().writeValueAsString(root);
    }

    private static @Nullable Object fallback(KubeProxySetting<?> setting) {
        String text = setting.use() == null ? "" : setting.use().fallback();
        return text.isEmpty() ? null : written(setting, setting.shape().read(List.of(text)));
    }

    private static @Nullable Object written(KubeProxySetting<?> setting, Object value) {
        return switch (value) {
            case Duration duration -> GoDuration.format(duration);
            case Address address -> address.toString();
            case List<?> truths
            when setting.shape().notation() == Shape.Notation.TRUTHS -> {
                Map<String, Boolean> fields = new LinkedHashMap<>();
                for (Object each : truths) {
                    String[] parts = each.toString().split("=", 2);
                    fields.put(parts[0], Shape.truth().read(List.of(parts[1])));
                }
                yield fields;
            }
            case Object any when setting.shape().notation() == Shape.Notation.ANYTHING -> null;
            default -> value;
        };
    }

    @SuppressWarnings("unchecked") // What is put below a section is a section.
    private static void put(Map<String, Object> section, String field, Object value) {
        int dot = field.indexOf('.');
        if (dot < 0) {
            section.put(field, value);
        } else {
            Object below = section.computeIfAbsent(field.substring(0, dot), name -> new LinkedHashMap<>());
            put((Map<String, Object>) below, field.substring(dot + 1), value);
        }
    }

    /** The sync period of the mode in force; 30 s if none was given. */
    public Duration syncPeriod() {
        return get(periods().sync())
                .or(() -> get(KubeProxySettings.IPTABLES_SYNC_PERIOD).filter(it -> isNftables()))
                .orElse(Duration.ofSeconds(30));
    }

    /** CIDRs, or {@code primary} alone; empty means all addresses. */
    public List<String> nodePortAddresses() {
        return get(KubeProxySettings.NODE_PORT_ADDRESSES)
                .filter(given -> !given.isEmpty())
                .orElse(isNftables() ? List.of("primary") : List.of());
    }

    /** Whether NodePorts are reached at 127.0.0.1 too. */
    public boolean localhostNodePorts() {
        return mode().equals("iptables")
                && get(KubeProxySettings.LOCALHOST_NODE_PORTS).orElse(true);
    }

    /** Whether all who ask for a cluster IP by a packet reach it in the node's name. */
    public boolean masqueradeAll() {
        return get(KubeProxySettings.MASQUERADE_ALL).orElse(false)
                || get(KubeProxySettings.NFTABLES_MASQUERADE_ALL).orElse(false);
    }

    /** How clients inside are told from those outside. */
    public LocalDetection localDetection() {
        String mode = get(KubeProxySettings.DETECT_LOCAL_MODE).orElse(LocalDetection.CLUSTER_CIDR);
        return switch (mode) {
            case LocalDetection.CLUSTER_CIDR -> new LocalDetection(mode, clusterRanges(), "");
            case LocalDetection.BRIDGE ->
                new LocalDetection(
                        mode, List.of(), get(KubeProxySettings.BRIDGE_INTERFACE).orElseThrow());
            case LocalDetection.PREFIX ->
                new LocalDetection(
                        mode,
                        List.of(),
                        get(KubeProxySettings.INTERFACE_NAME_PREFIX).orElseThrow());
            default -> new LocalDetection(mode, List.of(), "");
        };
    }

    private List<Prefix> clusterRanges() {
        return get(KubeProxySettings.CLUSTER_CIDR).stream()
                .flatMap(text -> Arrays.stream(text.split(",", -1)))
                .map(text -> Prefix.parse(text).orElseThrow())
                .toList();
    }

    /**
     * How many flows the node remembers, as kube-proxy sizes netfilter's table.
     *
     * @param cores CPUs of the machine
     */
    public long flows(int cores) {
        long scaled = (long) get(KubeProxySettings.CONNTRACK_MAX_PER_CORE).orElse(FLOWS_PER_CORE) * cores;
        return Math.max(
                Math.min(scaled, MOST_SCALED_FLOWS),
                get(KubeProxySettings.CONNTRACK_MIN).orElse(LEAST_FLOWS));
    }

    /** The node's address, empty if it was not given or says nothing, as 0.0.0.0. */
    public Optional<Address> nodeIp() {
        return get(KubeProxySettings.BIND_ADDRESS).filter(address -> !address.isUnspecified());
    }

    private String mode() {
        return get(KubeProxySettings.MODE).orElse("iptables");
    }

    private boolean isNftables() {
        return mode().equals("nftables");
    }

    private record Periods(KubeProxySetting<Duration> sync, KubeProxySetting<Duration> minSync) {}

    private Periods periods() {
        return switch (mode()) {
            case "ipvs" -> new Periods(KubeProxySettings.IPVS_SYNC_PERIOD, KubeProxySettings.IPVS_MIN_SYNC_PERIOD);
            case "nftables" ->
                new Periods(KubeProxySettings.NFTABLES_SYNC_PERIOD, KubeProxySettings.NFTABLES_MIN_SYNC_PERIOD);
            default -> new Periods(KubeProxySettings.IPTABLES_SYNC_PERIOD, KubeProxySettings.IPTABLES_MIN_SYNC_PERIOD);
        };
    }

    private void checkSyncPeriods() {
        KubeProxySetting<Duration> setting = periods().minSync();
        Duration most = syncPeriod();
        get(setting).filter(least -> least.compareTo(most) > 0).ifPresent(least -> {
            throw new ConfigurationException(name(setting) + " must not be longer than the sync period, "
                    + GoDuration.format(most) + ", but is " + GoDuration.format(least));
        });
    }

    private void checkInterface(String mode, KubeProxySetting<String> setting) {
        boolean wanted =
                get(KubeProxySettings.DETECT_LOCAL_MODE).filter(mode::equals).isPresent();
        if (wanted && get(setting).isEmpty()) {
            throw new ConfigurationException(name(KubeProxySettings.DETECT_LOCAL_MODE) + " is " + mode
                    + ", which needs " + setting + ": give it");
        }
    }
}
