package io.shunt.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.net.IpFamily;
import java.util.List;
import org.junit.jupiter.api.Test;

class ClusterStateTest {
    private static final ObjectName WEB = new ObjectName("shop", "web");
    private static final ObjectName API = new ObjectName("shop", "api");

    private final ClusterState cluster = new ClusterState();

    private static EndpointSlice slice(String name, ObjectName service) {
        return new EndpointSlice(new ObjectName("shop", name), service, IpFamily.IPV4, List.of(), List.of(), null);
    }

    private List<ObjectName> put(EndpointSlice slice) {
        return cluster.apply(new Change.SliceChange(slice.name(), slice));
    }

    @Test
    void slice_beforeItsService_waitsForIt() {
        assertThat(put(slice("web-1", WEB))).containsExactly(WEB);

        assertThat(cluster.service(WEB)).isNull();
        assertThat(cluster.slices(WEB)).hasSize(1);
    }

    @Test
    void slice_thatMovesToAnotherService_leavesTheFirst() {
        put(slice("s", WEB));

        assertThat(put(slice("s", API))).containsExactlyInAnyOrder(WEB, API);

        assertThat(cluster.slices(WEB)).isEmpty();
        assertThat(cluster.slices(API)).hasSize(1);
    }

    @Test
    void slice_thatGoes_namesTheServiceItWasOf() {
        put(slice("s", WEB));

        assertThat(cluster.apply(new Change.SliceChange(new ObjectName("shop", "s"), null)))
                .containsExactly(WEB);

        assertThat(cluster.slices(WEB)).isEmpty();
    }

    @Test
    void slice_thatNeverWas_changesNothing() {
        assertThat(cluster.apply(new Change.SliceChange(new ObjectName("shop", "s"), null)))
                .isEmpty();
    }

    @Test
    void slices_areInTheOrderOfTheirNames() {
        put(slice("b", WEB));
        put(slice("a", WEB));

        assertThat(cluster.slices(WEB)).extracting(slice -> slice.name().name()).containsExactly("a", "b");
    }

    @Test
    void service_thatGoes_leavesItsSlices() {
        cluster.apply(new Change.ServiceChange(WEB, new Service(WEB, List.of(), List.of())));
        put(slice("a", WEB));

        cluster.apply(new Change.ServiceChange(WEB, null));

        assertThat(cluster.service(WEB)).isNull();
        assertThat(cluster.slices(WEB)).hasSize(1);
    }
}
