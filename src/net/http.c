/* http: which answer a request gets: a file of a mount, or a page of text that says what is wrong. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "net/http_path.h"
#include "net/internal.h"

/*
 * COOP and COEP isolate the page, so that shared memory (threads) works in it. The policy allows what our pages need and no more:
 * their own scripts and module workers, WebAssembly, and WebSockets to wherever a worker listens.
 */
const char TT_HTTP_COMMON_HEADERS[] =
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Embedder-Policy: require-corp\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cache-Control: no-cache\r\n"
    "Content-Security-Policy: default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "connect-src 'self' ws: wss:; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'\r\n";

const char *tt_http_status_text(int status) {
  switch (status) {
  case 200:
    return "OK";
  case 304:
    return "Not Modified";
  case 308:
    return "Permanent Redirect";
  case 400:
    return "Bad Request";
  case 403:
    return "Forbidden";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 426:
    return "Upgrade Required";
  default:
    return "Internal Server Error";
  }
}

static void say(tt_http_answer *answer, int status) {
  answer->status = status;
  answer->content_type = "text/plain; charset=utf-8";
}

static void not_found(tt_http_answer *answer, const char *path) {
  say(answer, 404);
  snprintf(answer->body, sizeof answer->body, "404: there is no file '%.300s' here.\n", path);
}

static const tt_own_mount *mount_of(const tt_server *server, const char *path) {
  const tt_own_mount *best = NULL;
  size_t best_bytes = 0;
  for (size_t i = 0; i < server->n_mounts; i++) {
    size_t n_bytes = strlen(server->mounts[i].prefix);
    if (n_bytes <= best_bytes || strncmp(path, server->mounts[i].prefix, n_bytes) != 0) continue;
    best = &server->mounts[i];
    best_bytes = n_bytes;
  }
  return best;
}

static void redirect_to_folder(tt_http_answer *answer, const char *path) {
  say(answer, 308);
  int n_bytes = snprintf(answer->headers, sizeof answer->headers, "Location: ");
  for (const unsigned char *byte = (const unsigned char *)path; *byte != '\0'; byte++) {
    if ((size_t)n_bytes + sizeof "%XX/\r\n" > sizeof answer->headers) {
      answer->headers[0] = '\0';
      not_found(answer, path);
      return;
    }
    bool is_plain = (*byte >= '0' && *byte <= '9') || (*byte >= 'A' && *byte <= 'Z') || (*byte >= 'a' && *byte <= 'z') ||
                    strchr("/-_.~", *byte) != NULL;
    n_bytes += snprintf(answer->headers + n_bytes, sizeof answer->headers - (size_t)n_bytes, is_plain ? "%c" : "%%%02X", *byte);
  }
  snprintf(answer->headers + n_bytes, sizeof answer->headers - (size_t)n_bytes, "/\r\n");
  snprintf(answer->body, sizeof answer->body, "308: see '%.300s/'.\n", path);
}

static bool contains_tag(const char *list, const char *tag) { return strstr(list, tag) != NULL; }

static void serve(const tt_http_request *request, const struct stat *about, tt_http_answer *answer) {
  char tag[48];
  snprintf(tag, sizeof tag, "\"%llx-%llx.%lx\"", (unsigned long long)about->st_size, (unsigned long long)about->st_mtim.tv_sec,
           (unsigned long)about->st_mtim.tv_nsec);
  snprintf(answer->headers, sizeof answer->headers, "ETag: %s\r\n", tag);
  answer->content_type = tt_http_content_type(answer->file);
  answer->status = 200;
  if (contains_tag(request->if_none_match, tag)) {
    answer->status = 304;
    answer->file[0] = '\0';
  }
}

void tt_http_route(const tt_server *server, const tt_http_request *request, tt_http_answer *answer) {
  *answer = (tt_http_answer){.status = 500};
  if (request->method[0] == '\0') {
    say(answer, 405);
    snprintf(answer->headers, sizeof answer->headers, "Allow: GET, HEAD\r\n");
    snprintf(answer->body, sizeof answer->body, "405: only GET and HEAD work here.\n");
    return;
  }
  if (!tt_http_path_is_safe(request->path, request->path_bytes)) {
    say(answer, 404);
    snprintf(answer->body, sizeof answer->body,
             "404: no file has such a path here (hidden files and '..' are never served).\n");
    return;
  }
  const tt_own_mount *mount = mount_of(server, request->path);
  if (mount == NULL) {
    say(answer, 404);
    snprintf(answer->body, sizeof answer->body,
             "404: no pages are served at '%.300s'. This port takes WebSockets of tabtensor workers.\n", request->path);
    return;
  }
  const char *rest = request->path + strlen(mount->prefix);
  int n_bytes = snprintf(answer->file, sizeof answer->file, "%s/%s", mount->folder, rest);
  struct stat about;
  bool is_there = n_bytes > 0 && (size_t)n_bytes < sizeof answer->file && stat(answer->file, &about) == 0;
  bool asks_for_folder = request->path[request->path_bytes - 1] == '/';
  if (is_there && S_ISDIR(about.st_mode) && !asks_for_folder) {
    answer->file[0] = '\0';
    redirect_to_folder(answer, request->path);
    return;
  }
  if (is_there && S_ISDIR(about.st_mode)) {
    snprintf(answer->file + n_bytes, sizeof answer->file - (size_t)n_bytes, "index.html");
    is_there = stat(answer->file, &about) == 0;
  } else if (asks_for_folder) {
    is_there = false;
  }
  if (!is_there || !S_ISREG(about.st_mode)) {
    answer->file[0] = '\0';
    not_found(answer, request->path);
    return;
  }
  serve(request, &about, answer);
}
