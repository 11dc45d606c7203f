package io.shunt.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import java.util.List;
import org.junit.jupiter.api.Test;

class EndpointSliceTest {
    @Test
    void sharing_keepsEqualPartsOfTheOlderRecord_whereverTheyStand() {
        EndpointSlice before = slice(endpoint("10.0.0.1"), endpoint("10.0.0.2"), endpoint("10.0.0.3"));
        EndpointSlice now = slice(endpoint("10.0.0.9"), endpoint("10.0.0.3"), endpoint("10.0.0.1"));

        EndpointSlice shared = now.sharing(before);

        assertThat(shared).isEqualTo(now);
        assertThat(shared.name()).isSameAs(before.name());
        assertThat(shared.service()).isSameAs(before.service());
        assertThat(shared.ports()).isSameAs(before.ports());
        assertThat(shared.endpoints().get(0)).isSameAs(now.endpoints().get(0));
        assertThat(shared.endpoints().get(1)).isSameAs(before.endpoints().get(2));
        assertThat(shared.endpoints().get(2)).isSameAs(before.endpoints().get(0));
    }

    @Test
    void sharing_anotherWeight_isAnotherEndpoint() {
        EndpointSlice before = slice(endpoint("10.0.0.1"));
        EndpointSlice now = slice(new EndpointSlice.Endpoint(
                Address.of("10.0.0.1"), true, true, false, null, EndpointSlice.Hints.NONE, null, 7));

        assertThat(now.sharing(before).endpoints().getFirst().weight()).isEqualTo(7);
    }

    private static EndpointSlice slice(EndpointSlice.Endpoint... endpoints) {
        return new EndpointSlice(
                new ObjectName("shop", "web-1"),
                new ObjectName("shop", "web"),
                IpFamily.IPV4,
                List.of(new EndpointSlice.Port("http", Protocol.TCP, 8080)),
                List.of(endpoints),
                null);
    }

    private static EndpointSlice.Endpoint endpoint(String address) {
        return new EndpointSlice.Endpoint(Address.of(address), true, true, false, null);
    }
}
