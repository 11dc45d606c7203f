/** What this machine's own kernel says of it: its addresses and its network devices. */
@NullMarked
package io.shunt.host;

import org.jspecify.annotations.NullMarked;
