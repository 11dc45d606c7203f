package io.shunt.daemon;

import io.shunt.api.HealthCheckServers;
import io.shunt.api.HttpFaces;
import io.shunt.api.HttpPorts;
import io.shunt.config.LocalDetection;
import io.shunt.datapath.Installation;
import io.shunt.datapath.InstallationException;
import io.shunt.datapath.MapSizes;
import io.shunt.datapath.PacketSettings;
import io.shunt.datapath.StaleSockets;
import io.shunt.datapath.Sweep;
import io.shunt.flow.KernelFlows;
import io.shunt.flow.Names;
import io.shunt.health.Probes;
import io.shunt.host.EphemeralPorts;
import io.shunt.host.HostNetwork;
import io.shunt.host.NodeDevices;
import io.shunt.libbpf.BpfException;
import io.shunt.metrics.Metrics;
import io.shunt.plan.Balancing;
import io.shunt.plan.NodePortAddresses;
import io.shunt.snapshot.Snapshots;
import io.shunt.snapshot.Version;
import io.shunt.source.Source;
import io.shunt.source.SourceConfigurationException;
import io.shunt.source.SourceOptions;
import io.shunt.source.Sources;
import java.io.IOException;
import java.time.InstantSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.DependsOn;

/** How the daemon's parts are put together. They are closed in the opposite order; what is pinned stays. */
@Configuration(proxyBeanMethods = false)
class DaemonConfiguration {
    private static final Logger log = LoggerFactory.getLogger(DaemonConfiguration.class);

    @Bean
    Inbox inbox() {
        return new Inbox();
    }

    @Bean
    RecentErrors recentErrors() {
        return new RecentErrors();
    }

    @Bean
    Metrics metrics() {
        return new Metrics();
    }

    /** First of all, as a wrong name should not leave programs behind. */
    @Bean
    NodeDevices nodeDevices(RunOptions options) {
        NodeDevices devices;
        try {
            devices = NodeDevices.of(options.devices());
        } catch (IllegalArgumentException e) {
            throw StartupException.configuration(String.valueOf(e.getMessage()));
        }
        LocalDetection detection = options.localDetection();
        if (detection.byBridge()) {
            return devices.withPodsOfBridge(detection.device());
        }
        return detection.byPrefix() ? devices.withPodsOfPrefix(detection.device()) : devices;
    }

    /** Nor should a port that somebody else has. */
    @Bean
    HttpPorts httpPorts(RunOptions options) {
        try {
            return HttpPorts.bind(options.healthzBindAddress(), options.metricsBindAddress());
        } catch (IOException e) {
            throw new StartupException(String.valueOf(e.getMessage()), e);
        }
    }

    @Bean
    @DependsOn("httpPorts")
    Installation installation(RunOptions options, NodeDevices devices, Inbox inbox) {
        PacketSettings settings = packetSettings(options, devices);
        try {
            Installation installation = Installation.open(
                    options.bpfRoot(),
                    options.cgroupRoot(),
                    new MapSizes(
                            options.maxServices(),
                            options.maxBackends(),
                            options.maxFlows(),
                            options.maxMaglevTables() * options.maglevTableSize()),
                    options.hostNamespaceOnly(),
                    settings,
                    inbox);
            installation.accelerate(options.acceleration(), settings);
            return installation;
        } catch (InstallationException e) {
            throw new StartupException(String.valueOf(e.getMessage()), e);
        }
    }

    @Bean
    Sweep sweep(RunOptions options, Installation installation) {
        return Sweep.open(installation, options.flowTimeouts());
    }

    private static PacketSettings packetSettings(RunOptions options, NodeDevices devices) {
        MasqueradePorts ports =
                devices.areNone() ? MasqueradePorts.USUAL : MasqueradePorts.beside(EphemeralPorts.now());
        if (!ports.equals(MasqueradePorts.USUAL)) {
            log.info(
                    "this node speaks in the name of others from ports {} to {}: the longest run that the kernel does not"
                            + " give to clients (net.ipv4.ip_local_port_range)",
                    ports.first(),
                    ports.last());
        }
        LocalDetection detection = options.localDetection();
        return new PacketSettings(
                ports.first(),
                ports.count(),
                options.masqueradeAll(),
                detection.isOn(),
                detection.ranges(),
                PacketSettings.kernelTellsSource());
    }

    @Bean
    StaleSockets staleSockets(RunOptions options, Installation installation, Metrics metrics) {
        StaleSockets staleSockets =
                StaleSockets.open(installation, options.endStaleTcp(), metrics.programming()::reconciled);
        installation.datapath().whenBackendsAreGone(staleSockets::request);
        return staleSockets;
    }

    @Bean
    NodePortAddresses nodePortAddresses(RunOptions options) {
        return NodePortAddresses.of(options.nodePortAddresses(), options.nodeIps(), options.localhostNodePorts());
    }

    @Bean
    ControlLoop controlLoop(
            RunOptions options,
            Inbox inbox,
            Installation installation,
            Metrics metrics,
            RecentErrors errors,
            NodePortAddresses nodePortAddresses,
            SelfAudit audit) {
        return new ControlLoop(
                inbox,
                installation.datapath(),
                metrics.programming(),
                errors,
                options.nodeName(),
                nodePortAddresses,
                new Balancing(options.algorithm(), options.maglevTableSize()),
                options.forwarding(),
                audit);
    }

    @Bean
    SelfAudit selfAudit(Installation installation, RecentErrors errors) {
        return new SelfAudit(installation.audit(), errors, SelfAudit.PERIOD);
    }

    @Bean
    ControlThread controlThread(ControlLoop loop) {
        return new ControlThread(loop);
    }

    @Bean
    PacketPath packetPath(Installation installation, RecentErrors errors) {
        return new PacketPath(installation.packets(), errors);
    }

    @Bean
    HostNetwork hostNetwork(Inbox inbox, NodeDevices devices, PacketPath packetPath) {
        try {
            return new HostNetwork(inbox, devices, packetPath);
        } catch (BpfException e) {
            throw new StartupException("this host's addresses cannot be watched: " + e.getMessage(), e);
        }
    }

    @Bean
    Source source(RunOptions options) {
        try {
            return Sources.of(
                    options.source(), new SourceOptions(options.nodeName(), options.kubeconfig(), options.apiServer()));
        } catch (SourceConfigurationException e) {
            throw StartupException.configuration(String.valueOf(e.getMessage()));
        }
    }

    @Bean
    HealthCheckNodePorts healthCheckNodePorts(
            RunOptions options, NodePortAddresses addresses, Source source, ControlLoop loop, RecentErrors errors) {
        HealthCheckNodePorts ports = new HealthCheckNodePorts(options.nodeName(), addresses, source, errors);
        loop.whenProgrammed(new EphemeralNodePorts(EphemeralPorts::now, ports));
        if (options.isOfCluster()) {
            loop.expectNode();
        }
        return ports;
    }

    @Bean
    Probes probes(RunOptions options, Snapshots snapshots) {
        return new Probes(snapshots, options.syncPeriod(), InstantSource.system());
    }

    @Bean
    HealthCheckServers healthCheckServers(Snapshots snapshots, Probes probes, HealthCheckNodePorts ports) {
        HealthCheckServers servers = HealthCheckServers.open(snapshots, probes, ports);
        ports.whenChanged(servers::wake);
        return servers;
    }

    @Bean
    Snapshots snapshots(
            RunOptions options,
            Source source,
            Installation installation,
            PacketPath packetPath,
            Sweep sweep,
            StaleSockets staleSockets,
            ControlLoop loop,
            SelfAudit audit,
            HealthCheckNodePorts healthChecks,
            RecentErrors errors) {
        return new DaemonSnapshots(
                Version.current(),
                options.nodeName(),
                source,
                installation,
                packetPath,
                sweep,
                staleSockets,
                loop,
                audit,
                healthChecks,
                errors);
    }

    @Bean
    KernelFlows flows(RunOptions options, Installation installation, ControlLoop loop) {
        return new KernelFlows(
                installation,
                new Names(options.nodeName(), loop::hostAddresses, loop::services, loop::slices),
                loop::servicePorts,
                KernelFlows.WATCH);
    }

    @Bean
    HttpFaces httpFaces(
            RunOptions options,
            HttpPorts ports,
            Probes probes,
            Snapshots snapshots,
            KernelFlows flows,
            Metrics metrics) {
        metrics.serve(snapshots, InstantSource.system());
        return HttpFaces.open(ports, probes, snapshots, flows, metrics, options.configuration());
    }
}
