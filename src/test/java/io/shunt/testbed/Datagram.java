package io.shunt.testbed;

/** What recvfrom() gave. */
public record Datagram(Peer from, String text) {}
