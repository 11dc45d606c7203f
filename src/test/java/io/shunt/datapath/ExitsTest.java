package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.Exits.Exit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class ExitsTest {
    private static final PacketPrograms.Device NETWORK = new PacketPrograms.Device(2, "eth0", false, true);
    private static final PacketPrograms.Device TUNNEL = new PacketPrograms.Device(3, "wg0", false, false);
    private static final PacketPrograms.Device POD = new PacketPrograms.Device(4, "veth1", true, true);
    private static final PacketPrograms.Device FAR_POD = new PacketPrograms.Device(1026, "veth2", true, true);

    private Ground ground;
    private Installation installation;
    private Exits exits;

    @BeforeEach
    void install() {
        ground = new Ground();
        installation = ground.install();
        exits = new Exits(installation.packets().map("exits"));
    }

    @AfterEach
    void remove() {
        installation.close();
        ground.close();
    }

    private List<Exit> known() {
        List<Exit> known = new ArrayList<>();
        installation.packets().map("exits").forEach((index, value) -> known.add(Exit.read(value)));
        known.removeIf(Exit.NONE::equals);
        return known;
    }

    @Test
    void ethernetDevices_areExits_untilTheyAreGone() {
        exits.put(List.of(NETWORK, TUNNEL, POD), Set.of(4));
        assertThat(known()).containsExactlyInAnyOrder(new Exit(2, false), new Exit(4, true));
        exits.put(List.of(NETWORK), Set.of());
        assertThat(known()).containsExactly(new Exit(2, false));
    }

    @Test
    void twoDevicesForOneElement_theOneToTheNetworkHasIt() {
        exits.put(List.of(NETWORK, FAR_POD), Set.of(1026));
        assertThat(known()).containsExactly(new Exit(2, false));
        exits.put(List.of(FAR_POD, NETWORK), Set.of(1026));
        assertThat(known()).containsExactly(new Exit(2, false));
        exits.put(List.of(FAR_POD), Set.of(1026));
        assertThat(known()).containsExactly(new Exit(1026, true));
    }

    @Test
    void daemonThatEnds_leavesNoShortcuts() {
        exits.put(List.of(NETWORK, POD), Set.of(4));
        installation.close();
        List<Map<String, ?>> left = new ArrayList<>();
        PinnedMaps.dump(ground.pins().path(), (map, fields) -> {
            if (map.equals("exits")) {
                left.add(fields);
            }
        });
        installation = ground.install();
        assertThat(left)
                .containsExactlyInAnyOrder(
                        Map.of("device", 2, "shortcut", false), Map.of("device", 4, "shortcut", false));
    }
}
