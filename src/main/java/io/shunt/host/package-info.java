/** What this machine's own kernel says of it: its addresses, its network devices, and the ports that it gives to clients. */
@NullMarked
package io.shunt.host;

import org.jspecify.annotations.NullMarked;
