/** kube-proxy's settings: what they may be, and the file that holds them. */
@NullMarked
package io.shunt.config;

import org.jspecify.annotations.NullMarked;
