/* The physical limit: every datagram goes back with QR set, in batches. Usage: echo PORT (of 127.0.0.1). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 64, SLOT = 2048, RECEIVE_BUFFER = 4 << 20 };

static unsigned char octets[BATCH][SLOT];
static struct sockaddr_in peers[BATCH];
static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];

int main(int argc, char **argv) {
    int port = argc == 2 ? atoi(argv[1]) : 0, size = RECEIVE_BUFFER;
    if (port <= 0) return fprintf(stderr, "name the port: echo PORT\n"), 2;
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
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++) {
            octets[i][2] |= 0x80;
            vectors[i].iov_len = messages[i].msg_len;
        }
        for (int sent = 0, n; sent < count; sent += n > 0 ? n : 1)  /* skip the message that fails */
            n = sendmmsg(fd, messages + sent, count - sent, 0);
    }
}
