/* clock: monotonic time for deadlines and grace periods. */
#ifndef TT_BASE_CLOCK_H
#define TT_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since an arbitrary moment that does not move while the process runs. */
int64_t tt_clock_ms(void);

#endif
