package io.shunt.daemon;

import io.shunt.plan.PlannedService;

/**
 * A virtual service and what became of it.
 *
 * @param serviceId its id in the kernel maps, -1 if it has none
 * @param error why the kernel does not have it as planned, "" if it has
 */
record Programmed(PlannedService planned, int serviceId, String error) {}
