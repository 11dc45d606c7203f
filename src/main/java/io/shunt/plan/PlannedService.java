package io.shunt.plan;

import io.shunt.table.VirtualService;

/** A virtual service and what it is made for; the virtual service is called as {@code name} reads. */
public record PlannedService(ServicePortName name, VirtualService service) {}
