/* answer PORT: accepts connections one after another, reads what comes, answers with a
 * small page of HTTP and closes. It answers the lab's loop and a generator of HTTP alike. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int main(int argc, char **argv) {
	static const char page[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
	int on = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (s < 0 || bind(s, (struct sockaddr *)&at, sizeof at) || listen(s, 4096)) {
		perror("answer");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	struct timeval wait = {.tv_sec = 2};
	for (;;) {
		char buf[2048];
		int c = accept(s, 0, 0);
		if (c < 0)
			continue;
		setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
		if (recv(c, buf, sizeof buf, 0) > 0)
			send(c, page, sizeof page - 1, MSG_NOSIGNAL);
		close(c);
	}
}
