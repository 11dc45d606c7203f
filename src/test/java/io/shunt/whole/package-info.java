/** The launcher as a process, on a real kernel: what clients, people and the kubelet see of it. */
@NullMarked
package io.shunt.whole;

import org.jspecify.annotations.NullMarked;
