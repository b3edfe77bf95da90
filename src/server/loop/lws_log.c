/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/lws_log.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ch_list attached = {&attached, &attached};

static void emit(int level, const char *text) {
  pthread_mutex_lock(&lock);
  if (!ch_list_is_empty(&attached)) {
    const ch_lws_log *place = CH_LIST_ITEM(attached.next, ch_lws_log, node);
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) len--;
    ch_logline line;
    ch_logline_begin(&line, place->log, level == LLL_ERR ? CHAT_LOG_ERROR : CHAT_LOG_WARN, place->clock.wall_ms(place->clock.arg), "libwebsockets");
    ch_logline_text(&line, CH_LOG_REASON, ch_bytes_of(text, len));
    ch_logline_end(&line);
  }
  pthread_mutex_unlock(&lock);
}

void ch_lws_log_attach(ch_lws_log *place, const ch_log *log, chat_clock clock) {
  place->log = log;
  place->clock = clock;
  pthread_mutex_lock(&lock);
  ch_list_push_back(&attached, &place->node);
  pthread_mutex_unlock(&lock);
  lws_set_log_level(LLL_ERR | LLL_WARN, emit);
}

void ch_lws_log_detach(ch_lws_log *place) {
  pthread_mutex_lock(&lock);
  ch_list_remove(&place->node);
  pthread_mutex_unlock(&lock);
}
