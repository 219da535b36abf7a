/* referee PROTO ADDR PORT COUNT: COUNT round trips of the first packet of new
 * flows, one a line, in nanoseconds. PROTO is tcp (SYN to established) or udp (one
 * datagram and its echo). It shares no code with the lab. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
	perror(what);
	exit(1);
}

int main(int argc, char **argv) {
	if (argc != 5) {
		fprintf(stderr, "usage: referee tcp|udp ADDR PORT COUNT\n");
		return 2;
	}
	int tcp = !strcmp(argv[1], "tcp");
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
	if (inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
		fail("address");
	struct timeval wait = {.tv_sec = 2};
	struct linger reset = {.l_onoff = 1}; /* leaves no TIME_WAIT behind */
	for (int i = 0; i < atoi(argv[4]); i++) {
		int fd = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
		if (fd < 0)
			fail("socket");
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
		if (tcp)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		long long start = now();
		if (connect(fd, (struct sockaddr *)&to, sizeof to))
			fail("connect");
		if (!tcp) {
			char buf[64];
			start = now();
			if (send(fd, "c", 1, 0) != 1 || recv(fd, buf, sizeof buf, 0) < 1)
				fail("echo");
		}
		printf("%lld\n", now() - start);
		close(fd);
	}
	return 0;
}
