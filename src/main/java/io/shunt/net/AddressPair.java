package io.shunt.net;

import org.jspecify.annotations.Nullable;

/**
 * An address of each family.
 *
 * @param v4 null if there is none
 * @param v6 the same
 */
public record AddressPair(@Nullable Address v4, @Nullable Address v6) {}
