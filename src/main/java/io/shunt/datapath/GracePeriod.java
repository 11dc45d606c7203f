package io.shunt.datapath;

/**
 * Runs an action on the control thread when every eBPF program that is running now has ended, so that what it frees can
 * no longer be in a program's hand.
 */
@FunctionalInterface
interface GracePeriod {
    void after(Runnable free);
}
