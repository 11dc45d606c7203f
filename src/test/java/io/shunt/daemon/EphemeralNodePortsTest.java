package io.shunt.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.host.EphemeralPorts;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

class EphemeralNodePortsTest {
    private final Logger logger = (Logger) LoggerFactory.getLogger(EphemeralNodePorts.class);
    private final ListAppender<ILoggingEvent> logged = new ListAppender<>();
    private final List<ObjectName> passedOn = new ArrayList<>();
    private int reads;
    private String reserved = "";
    private final EphemeralNodePorts ports = new EphemeralNodePorts(
            () -> {
                reads++;
                return EphemeralPorts.of("1024 65535", reserved);
            },
            new ControlLoop.Listener() {
                @Override
                public void programmed(ObjectName name, @Nullable Service service, Collection<EndpointSlice> slices) {
                    passedOn.add(name);
                }

                @Override
                public void standsAt(Set<Address> hostAddresses, @Nullable Node node) {}
            });

    @BeforeEach
    void listen() {
        logged.start();
        logger.addAppender(logged);
    }

    @AfterEach
    void stop() {
        logger.detachAppender(logged);
    }

    private void programmed(String name, int... nodePorts) {
        List<Service.Port> servicePorts = new ArrayList<>();
        for (int port : nodePorts) {
            servicePorts.add(new Service.Port("p" + port, Protocol.UDP, 53, port));
        }
        ObjectName service = new ObjectName("default", name);
        ports.programmed(service, new Service(service, List.of(Address.of("10.96.0.1")), servicePorts), List.of());
    }

    @Test
    void nodePortThatAClientMayGet_isWarnedOfOnce() {
        programmed("dns", 0, 30053);
        programmed("dns", 0, 30053);
        programmed("web", 30080);

        assertThat(logged.list)
                .hasSize(1)
                .first()
                .satisfies(event -> assertThat(event.getFormattedMessage())
                        .startsWith("Service default/dns: the kernel may give its node port 30053 to a client")
                        .contains("net.ipv4.ip_local_reserved_ports=30000-32767"));
        assertThat(passedOn).extracting(ObjectName::name).containsExactly("dns", "dns", "web");
    }

    @Test
    void reservedNodePort_isLookedAtOnce_andNobodyIsWarned() {
        reserved = "30000-32767";

        programmed("dns", 30053);
        programmed("dns", 30053);
        programmed("plain", 0);

        assertThat(logged.list).isEmpty();
        assertThat(reads).isOne();
    }
}
