/** What this machine's own kernel says of it: its addresses. */
@NullMarked
package io.shunt.host;

import org.jspecify.annotations.NullMarked;
