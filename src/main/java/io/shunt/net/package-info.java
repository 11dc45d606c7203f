/** Addresses and protocols, as every other package writes them. Knows nothing else of Shunt. */
@NullMarked
package io.shunt.net;

import org.jspecify.annotations.NullMarked;
