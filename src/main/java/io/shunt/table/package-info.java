/** What the kernel should do: virtual services, frontends and backends. No Kubernetes word in it. */
@NullMarked
package io.shunt.table;

import org.jspecify.annotations.NullMarked;
