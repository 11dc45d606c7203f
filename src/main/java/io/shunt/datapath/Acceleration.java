package io.shunt.datapath;

/** Whether packets that come in from the network and leave by it again are translated before the kernel sees them (XDP). */
public enum Acceleration {
    OFF,
    /** By the kernel, for a driver that cannot: on any Ethernet device, and not much faster than without. */
    GENERIC,
    /** By the driver itself. */
    NATIVE
}
