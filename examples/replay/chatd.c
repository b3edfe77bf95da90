/* SPDX-License-Identifier: Apache-2.0 */
#include "chatd.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(const char *program, const char *folder, int out) {
  char data[3100];
  snprintf(data, sizeof data, "--data=%s/server", folder);
  dup2(out, STDOUT_FILENO);
  /* All clients come from one address and one person types for all of them: the limits that are for strangers do not fit. */
  execl(program, program, "--dev-mode", "--listen=127.0.0.1:0", "--metrics=", "--log-level=warn", "--limit-address-rate=0", "--limit-user-rate=0",
        "--limit-conversation-rate=0", data, (char *)NULL);
  perror(program);
  _exit(127);
}

static int read_port(FILE *file) {
  char text[512];
  int port = 0;
  while (file && port == 0 && fgets(text, sizeof text, file)) {
    const char *at = strstr(text, "listening at port ");
    if (at) port = atoi(at + strlen("listening at port "));
  }
  return port;
}

bool chatd_start(struct chatd *d, const char *program, const char *folder) {
  int out[2];
  if (pipe(out) != 0) return perror("pipe"), false;
  d->pid = fork();
  if (d->pid < 0) return perror("fork"), false;
  if (d->pid == 0) {
    close(out[0]);
    setpgid(0, 0); /* a Ctrl-C is for the replay, which then stops chatd in order */
    run(program, folder, out[1]);
  }
  close(out[1]);
  d->output = fdopen(out[0], "r");
  d->port = read_port(d->output);
  if (d->port) return true;
  fprintf(stderr, "chat-replay: %s did not start\n", program);
  chatd_stop(d);
  return false;
}

bool chatd_stop(struct chatd *d) {
  int status = 0;
  kill(d->pid, SIGTERM);
  bool is_ended = waitpid(d->pid, &status, 0) == d->pid;
  if (d->output) fclose(d->output);
  if (!is_ended) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

double chatd_cpu_seconds(const struct chatd *d) {
  char path[64];
  unsigned long user = 0, kernel = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)d->pid);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2) user = kernel = 0;
  fclose(file);
  return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}
