/* A load generator for one DNS server on 127.0.0.1, over UDP, or over TCP with many queries on each connection.
 *
 * - Closed loop (rate 0): so many queries are in flight as the window says; a reply is followed by the next query, from
 *   the sockets in turn. So the server is saturated, and no more queries than the window wait there.
 * - Open loop: queries leave at fixed times, whatever comes back. Latency counts from the sending; `lag` says how late
 *   that was, so that a generator that had no processor shows.
 * - TCP: queries are written behind their length (RFC 1035 4.2.2) without waiting for replies, and those that follow one
 *   read go out in one write.
 * - Queries come from a file of packets, each behind its size in two octets, taken in turn; the id is set here. With
 *   `unique`, the first eight octets of the name's first label are the hexadecimal digits of a counter.
 * - It ends by itself: after so many seconds or queries, and by SIGALRM should all else fail.
 *
 * The result is one line of JSON: counts, seconds, latencies in microseconds, own seconds on a core and in its
 * queue. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_SOCKETS = 1000,
    IDS = 1 << 16,
    SLOT = 2048,
    LABEL = 13, /* offset of the first label's first letter */
    SUBBUCKETS = 64,
    BUCKETS = 40 * SUBBUCKETS,
    RECEIVE_BUFFER = 1 << 20,
    STREAM = 1 << 16, /* octets kept of one connection, either way */
    MAX_RATE = 60000, /* so that ids suffice for all that may be in flight */
};
static const uint64_t SECOND = 1000000000, PATIENCE = 500000000, SWEEP = 50000000;

struct flight { uint64_t sent; int socket; }; /* sent 0: no query with this id is in flight */

static struct {
    int port, sockets, window, rcode, answers, unique, tcp;
    double seconds, rate;
    uint64_t count, first;
} options = {.sockets = 240, .window = 160, .seconds = 2, .count = 1 << 30};
static int descriptors[MAX_SOCKETS], turn;
static struct stream { size_t in, out; unsigned char read[STREAM], write[STREAM]; } *streams; /* of TCP alone */
static struct flight flights[IDS];
static unsigned char *packets, *next_packet, *packets_end;
static uint64_t latencies[BUCKETS], lags[BUCKETS];
static uint64_t sent, received, lost, wrong, late, refused, longest;
static uint16_t next_id;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* Histograms: buckets of 1/64 of a power of two, so that a quantile is right to 1.6 %. */
static void note(uint64_t *histogram, uint64_t value) {
    int shift = value < SUBBUCKETS ? 0 : 63 - __builtin_clzll(value) - 5;
    uint64_t bucket = value < SUBBUCKETS ? value : shift * (SUBBUCKETS / 2) + (value >> shift);
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

static double quantile(const uint64_t *histogram, double share) { /* in microseconds */
    uint64_t all = 0, below = 0;
    for (int i = 0; i < BUCKETS; i++) all += histogram[i];
    for (int i = 0; i < BUCKETS; i++) {
        below += histogram[i];
        if (all && below >= share * all) {
            int shift = i < SUBBUCKETS ? 0 : i / (SUBBUCKETS / 2) - 1;
            uint64_t low = i < SUBBUCKETS ? (uint64_t)i : (uint64_t)(i - shift * (SUBBUCKETS / 2)) << shift;
            return low / 1000.0;
        }
    }
    return 0;
}

static void number(unsigned char *octets, uint32_t counter) {
    for (int i = 7; i >= 0; i--, counter >>= 4) octets[i] = "0123456789abcdef"[counter & 15];
}

/* Write what waits for a connection, as far as it goes. */
static void flush(int socket) {
    struct stream *stream = &streams[socket];
    ssize_t taken = send(descriptors[socket], stream->write, stream->out, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken < 0) return;
    stream->out -= taken;
    memmove(stream->write, stream->write + taken, stream->out);
}

/* Queue a query on a connection; it leaves with the others of this turn. */
static int queue(int socket, const unsigned char *message, size_t size) {
    struct stream *stream = &streams[socket];
    if (stream->out + size + 2 > STREAM) return -1;
    stream->write[stream->out++] = size >> 8;
    stream->write[stream->out++] = size;
    memcpy(stream->write + stream->out, message, size);
    stream->out += size;
    return 0;
}

/* Send the next query, unless there were enough, from the next socket; an id still in flight is passed over. */
static void ask(void) {
    if (sent >= options.count) return;
    unsigned char message[SLOT];
    int socket = turn;
    turn = (turn + 1) % options.sockets;
    size_t size = next_packet[0] << 8 | next_packet[1];
    memcpy(message, next_packet + 2, size);
    next_packet += size + 2;
    if (next_packet >= packets_end) next_packet = packets;
    while (flights[next_id].sent) next_id++;
    message[0] = next_id >> 8;
    message[1] = next_id;
    if (options.unique) number(message + LABEL, options.first + sent);
    flights[next_id] = (struct flight){now(), socket};
    if (options.tcp ? queue(socket, message, size) : send(descriptors[socket], message, size, MSG_DONTWAIT) < 0) refused++;
    next_id++;
    sent++;
}

/* Take one reply; whether it ended a query that was in flight on this socket. */
static int take(int socket, const unsigned char *reply, size_t size) {
    struct flight *flight = size < 12 ? NULL : &flights[reply[0] << 8 | reply[1]];
    if (!flight || !flight->sent || flight->socket != socket) return late++, 0;
    uint64_t waited = now() - flight->sent;
    note(latencies, waited);
    if (waited > longest) longest = waited;
    flight->sent = 0;
    received++;
    if (!(reply[2] & 0x80) || (reply[3] & 15) != options.rcode || (reply[6] << 8 | reply[7]) < options.answers) wrong++;
    return 1;
}

/* Receive what is there; how many queries that ended. */
static int hear(int socket) {
    unsigned char reply[SLOT];
    if (!options.tcp) {
        ssize_t size = recv(descriptors[socket], reply, sizeof reply, MSG_DONTWAIT);
        return size < 0 ? 0 : take(socket, reply, size);
    }
    struct stream *stream = &streams[socket];
    ssize_t more = recv(descriptors[socket], stream->read + stream->in, STREAM - stream->in, MSG_DONTWAIT);
    if (more == 0) return fprintf(stderr, "the server closed a connection\n"), exit(1), 0;
    if (more < 0) return 0;
    size_t at = 0, end = stream->in + more;
    int ended = 0;
    for (size_t size; end - at >= 2 && end - at - 2 >= (size = stream->read[at] << 8 | stream->read[at + 1]); at += size + 2)
        ended += take(socket, stream->read + at + 2, size);
    stream->in = end - at;
    memmove(stream->read, stream->read + at, stream->in);
    return ended;
}

/* Give up queries that were sent `patience` ago; in a closed loop others follow. */
static void sweep(uint64_t patience, int go_on) {
    uint64_t time = now();
    for (int id = 0; id < IDS; id++)
        if (flights[id].sent && flights[id].sent + patience <= time) {
            flights[id].sent = 0;
            lost++;
            if (go_on) ask();
        }
}

static int wait_for(int poll, struct epoll_event *events, int milliseconds, int go_on) {
    int count = epoll_wait(poll, events, MAX_SOCKETS, milliseconds);
    for (int i = 0; i < count; i++) {
        int ended = hear(events[i].data.fd);
        for (; ended && go_on; ended--) {
            if (options.tcp) turn = events[i].data.fd; /* a connection has its queries follow its replies */
            ask();
        }
    }
    for (int i = 0; options.tcp && i < options.sockets; i++)
        if (streams[i].out) flush(i);
    return count;
}

static void run(int poll) {
    static struct epoll_event events[MAX_SOCKETS];
    uint64_t start = now(), end = start + options.seconds * SECOND, swept = start, time;
    int closed = options.rate == 0;
    for (int i = 0; closed && i < options.window; i++) ask();
    while ((time = now()) < end && sent < options.count) {
        for (; !closed && sent < options.count; ) {
            uint64_t due = start + sent * (SECOND / options.rate);
            if (due > time) break;
            note(lags, time - due);
            ask();
        }
        wait_for(poll, events, closed ? 10 : 0, closed);
        if (time - swept > SWEEP) sweep(PATIENCE, closed), swept = time;
    }
    while (sent > received + lost && now() < time + PATIENCE) wait_for(poll, events, 10, 0);
    sweep(0, 0);
    uint64_t on_core = 0, queued = 0;
    FILE *account = fopen("/proc/self/schedstat", "r");
    if (account && fscanf(account, "%lu %lu", &on_core, &queued) == 2) fclose(account);
    printf("{\"sent\": %lu, \"received\": %lu, \"lost\": %lu, \"wrong\": %lu, \"late\": %lu, \"refused\": %lu, "
           "\"seconds\": %.6f, \"p50\": %.2f, \"p99\": %.2f, \"longest\": %.2f, \"lag_p99\": %.2f, \"own_cpu\": %.6f, "
           "\"own_queued\": %.6f}\n",
           sent, received, lost, wrong, late, refused, (time - start) / 1e9, quantile(latencies, .5),
           quantile(latencies, .99), longest / 1e3, quantile(lags, .99), on_core / 1e9, queued / 1e9);
}

static int open_sockets(void) {
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons(options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int poll = epoll_create1(0), size = RECEIVE_BUFFER, on = 1;
    if (options.tcp && !(streams = calloc(options.sockets, sizeof *streams))) return perror("streams"), -1;
    for (int i = 0; i < options.sockets; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = i};
        descriptors[i] = socket(AF_INET, options.tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
        if (options.tcp) setsockopt(descriptors[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        else setsockopt(descriptors[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        if (descriptors[i] < 0 || connect(descriptors[i], (struct sockaddr *)&server, sizeof server) < 0 ||
            epoll_ctl(poll, EPOLL_CTL_ADD, descriptors[i], &event) < 0)
            return perror("client sockets; raise the limit of open files (ulimit -n)"), -1;
    }
    return poll;
}

static int read_packets(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) < 0) return perror(path), -1;
    long size = ftell(file);
    rewind(file);
    packets = next_packet = malloc(size);
    packets_end = packets + size;
    if (size < 2 || fread(packets, 1, size, file) != (size_t)size) return fprintf(stderr, "%s: no packets\n", path), -1;
    for (unsigned char *at = packets; at < packets_end; at += (at[0] << 8 | at[1]) + 2) {
        int octets = packets_end - at < 2 ? 0 : at[0] << 8 | at[1];
        if (octets < 12 || octets > SLOT || octets + 2 > packets_end - at)
            return fprintf(stderr, "%s: a packet is too short, too long or cut\n", path), -1;
    }
    fclose(file);
    return 0;
}

int main(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "p:n:w:t:c:r:e:a:u:s")) != -1) switch (option) {
            case 'p': options.port = atoi(optarg); break;
            case 'n': options.sockets = atoi(optarg); break;
            case 'w': options.window = atoi(optarg); break;
            case 't': options.seconds = atof(optarg); break;
            case 'c': options.count = strtoull(optarg, NULL, 10); break;
            case 'r': options.rate = atof(optarg); break;
            case 'e': options.rcode = atoi(optarg); break;
            case 'a': options.answers = atoi(optarg); break;
            case 'u': options.unique = 1, options.first = strtoull(optarg, NULL, 10); break;
            case 's': options.tcp = 1; break;
            default: return 2;
        }
    if (optind + 1 != argc || options.port <= 0 || options.sockets < 1 || options.sockets > MAX_SOCKETS ||
        options.window < 1 || options.window > IDS / 2 || options.rate < 0 || options.rate > MAX_RATE ||
        options.seconds <= 0 || options.seconds > 600)
        return fprintf(stderr, "usage: load -p PORT [-n SOCKETS] [-w WINDOW] [-t SECONDS] [-c QUERIES] [-r RATE] "
                               "[-e RCODE] [-a FEWEST ANSWERS] [-u FIRST NUMBER] [-s] PACKETS\n"), 2;
    alarm(options.seconds + 10);
    int poll = read_packets(argv[optind]) < 0 ? -1 : open_sockets();
    if (poll < 0) return 1;
    run(poll);
    return 0;
}
