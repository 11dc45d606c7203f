/** Makes the kernel equal to the table: programs, ids, map writes, and what an earlier process left. */
@NullMarked
package io.shunt.datapath;

import org.jspecify.annotations.NullMarked;
