package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.api.Json;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** `shunt bpf dump` and `shunt cleanup`, with a made-up kernel. */
class KernelCommandsTest {
    private final Shell shell = new Shell();
    private @Nullable Path prepared;
    private @Nullable Path cgroup2;

    KernelCommandsTest() {
        shell.pinned = new PinnedState() {
            @Override
            public void dump(Path bpfRoot, EntrySink sink) {
                sink.entry("frontends", fields("frontend", "10.96.0.1:80/TCP", "service_id", 7));
                sink.entry("backends", fields("id", 3, "backend", bpfRoot + "!"));
            }

            @Override
            public List<String> cleanup(Path bpfRoot) {
                return bpfRoot.endsWith("empty")
                        ? List.of()
                        : List.of("detached " + bpfRoot + "/connect4", "removed it");
            }

            @Override
            public void prepare(Path bpfRoot) {
                prepared = bpfRoot;
            }

            @Override
            public void mountCgroup2(Path directory, @Nullable Path mounted) {
                cgroup2 = directory;
            }
        };
    }

    private static Map<String, ?> fields(String first, Object one, String second, Object two) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put(first, one);
        fields.put(second, two);
        return fields;
    }

    @Test
    void dump_isALineAnEntry() {
        assertThat(shell.run("bpf", "dump")).as(shell.err()).isZero();
        assertThat(shell.out()).isEqualTo("""
                frontends frontend=10.96.0.1:80/TCP service_id=7
                backends id=3 backend=/sys/fs/bpf/shunt!
                """);
    }

    @Test
    void dump_asJson_isOneArray() {
        shell.environment.put("SHUNT_BPF_ROOT", "/sys/fs/bpf/mine");
        assertThat(shell.run("bpf", "dump", "-o", "JSON")).isZero();

        JsonNode entries = Json.MAPPER.readTree(shell.out());
        assertThat(entries.size()).isEqualTo(2);
        assertThat(entries.get(0).get("map").asString()).isEqualTo("frontends");
        assertThat(entries.get(0).get("service_id").asInt()).isEqualTo(7);
        assertThat(entries.get(1).get("backend").asString()).isEqualTo("/sys/fs/bpf/mine!");
    }

    @Test
    void cleanup_saysWhatItRemoved() {
        assertThat(shell.run("cleanup", "--bpf-root=/sys/fs/bpf/mine")).isZero();
        assertThat(shell.out()).isEqualTo("""
                detached /sys/fs/bpf/mine/connect4
                removed it
                """);
    }

    @Test
    void cleanup_ofNothing_saysSo_andIsDone() {
        assertThat(shell.run("cleanup", "--bpf-root=/sys/fs/bpf/empty")).isZero();
        assertThat(shell.out()).isEqualTo("nothing of shunt is at /sys/fs/bpf/empty\n");
    }

    @Test
    void runWithCleanup_doesWhatCleanupDoes() {
        assertThat(shell.run("run", "--cleanup", "--bpf-root=/sys/fs/bpf/mine"))
                .as(shell.err())
                .isZero();
        assertThat(shell.out()).isEqualTo("detached /sys/fs/bpf/mine/connect4\nremoved it\n");
        assertThat(shell.ran).isNull();
    }

    @Test
    void runWithInitOnly_makesTheBpfRootReady_andEnds() {
        assertThat(shell.run("run", "--init-only=true", "--bpf-root=/sys/fs/bpf/mine"))
                .as(shell.err())
                .isZero();
        assertThat(prepared).isEqualTo(Path.of("/sys/fs/bpf/mine"));
        assertThat(cgroup2).isNull();
        assertThat(shell.ran).isNull();
    }

    @Test
    void runWithInitOnly_mountsCgroup2_onlyWhereItIsToldTo() {
        assertThat(shell.run("run", "--init-only", "--cgroup-root=/run/shunt/cgroupv2"))
                .as(shell.err())
                .isZero();
        assertThat(cgroup2).isEqualTo(Path.of("/run/shunt/cgroupv2"));
        assertThat(shell.err()).isEmpty();
    }
}
