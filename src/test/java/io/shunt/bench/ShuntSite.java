package io.shunt.bench;

import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Traffic;
import java.io.IOException;
import java.util.List;

/** A server, and clients whose sockets a daemon of its own translates, with so many services. */
final class ShuntSite implements AutoCloseable {
    /** Of the services that are not measured. */
    static final int ENDPOINTS = 2;

    private static final int SLICES_A_FILE = 50;

    private final Closing closing = new Closing();
    private final Bed bed;
    private final Bed.Site site;
    private final Cluster cluster;
    private final List<Cluster.SliceFile> files;
    private final DaemonProcess daemon;
    private final Traffic client;

    ShuntSite(int services) throws IOException {
        try {
            Cgroup cgroup = closing.add(Cgroup.create("bench"));
            bed = closing.add(new Bed());
            site = bed.site("shunt");
            client = site.client(cgroup);
            cluster = new Cluster(services, ENDPOINTS, site.server());
            Workspace manifests = closing.add(new Workspace());
            files = cluster.write(manifests.path(), Cluster.Format.JSON, SLICES_A_FILE);
            daemon = closing.add(DaemonProcess.start(cgroup, "file:" + manifests.path()));
            daemon.awaitReady();
        } catch (IOException | RuntimeException e) {
            closing.close();
            throw e;
        }
    }

    Bed bed() {
        return bed;
    }

    /** Through the cluster IP. */
    Lane vip() {
        return new Lane("Shunt, cluster IP", client, Cluster.vip(cluster.measured()), Cluster.SERVICE_PORT);
    }

    /** To the backend itself, by the same client, whose sockets the programs see too. */
    Lane direct() {
        return new Lane("Shunt, direct", client, site.server(), Cluster.BACKEND_PORT);
    }

    /** To the backend itself, by a client in the same namespace whose sockets no program sees. */
    Lane bare() {
        return new Lane("no programs, direct", site.client(), site.server(), Cluster.BACKEND_PORT);
    }

    ChangeLoad changes(int perSecond) {
        return new ChangeLoad(cluster, files, perSecond);
    }

    DaemonProcess daemon() {
        return daemon;
    }

    @Override
    public void close() {
        closing.close();
    }
}
