/* An upstream that knows every name: A 192.0.2.1 with TTL 300 to any question, without EDNS.
 * Usage: upstream PORT (of 127.0.0.1). It costs next to nothing, so that forwarding rows measure forwarders. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, SLOT = 2048, HEADER = 12, RECEIVE_BUFFER = 4 << 20 };

static const unsigned char RECORD[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 1};

static unsigned char octets[BATCH][SLOT];
static struct sockaddr_in peers[BATCH];
static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];

/* Turn a query of `size` octets into its reply; the reply's size, 0 for what is no query with one question. */
static size_t answer(unsigned char *message, size_t size) {
    size_t at = HEADER;
    if (size < HEADER + 5 || message[2] & 0x80 || message[4] || message[5] != 1) return 0;
    while (at < size && message[at]) at += message[at] + 1;
    at += 5;
    if (at > size || at + sizeof RECORD > SLOT) return 0;
    int address = message[at - 4] == 0 && message[at - 3] == 1;
    message[2] |= 0x80;
    message[3] = 0x80; /* RA, NOERROR */
    memcpy(message + 6, (unsigned char[]){0, address, 0, 0, 0, 0}, 6);
    if (!address) return at;
    memcpy(message + at, RECORD, sizeof RECORD);
    return at + sizeof RECORD;
}

int main(int argc, char **argv) {
    int port = argc == 2 ? atoi(argv[1]) : 0, size = RECEIVE_BUFFER;
    if (port <= 0) return fprintf(stderr, "name the port: upstream PORT\n"), 2;
    struct sockaddr_in self = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&self, sizeof self) < 0) return perror("bind; choose another port"), 1;
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){octets[i], SLOT};
            messages[i].msg_hdr = (struct msghdr){&peers[i], sizeof peers[i], &vectors[i], 1, NULL, 0, 0};
        }
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL), replies = 0;
        for (int i = 0; i < count; i++) {
            vectors[i].iov_len = answer(octets[i], messages[i].msg_len);
            if (vectors[i].iov_len) messages[replies++].msg_hdr = messages[i].msg_hdr;
        }
        for (int sent = 0, n; sent < replies; sent += n > 0 ? n : 1)
            n = sendmmsg(fd, messages + sent, replies - sent, 0);
    }
}
