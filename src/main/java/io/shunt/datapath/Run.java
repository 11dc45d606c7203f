package io.shunt.datapath;

/**
 * Neighbouring slots: what a set word points at.
 *
 * @param base the first; 0 if there are none
 */
record Run(int base, int count) {
    static final Run EMPTY = new Run(0, 0);
}
