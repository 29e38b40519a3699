/* I1: deadline >= fresh_until, both NO_DEADLINE or neither.
 * I2: jitter only shortens; without it what a client asked for is kept to the millisecond. */
#include "rule/times.h"

#include <math.h>

#include "base/num.h"

static int64_t stale_window_ms(const struct config_rule *r)
{
    return r->source ? num_max_i64(r->stale_while_revalidate_ms, r->stale_if_error_ms) : 0;
}

static struct times times_of_ttl(const struct config_rule *r, int64_t now_wall_ms, int64_t ttl_ms, double chance)
{
    int64_t shortened = ttl_ms - (int64_t)((double)ttl_ms * r->ttl_jitter_percent / 100 * chance);
    int64_t fresh_until = now_wall_ms + num_max_i64(shortened, 1);
    return (struct times){.deadline = fresh_until + stale_window_ms(r), .fresh_until = fresh_until};
}

struct times times_of_load(const struct config_rule *r, int64_t now_wall_ms, double chance)
{
    if (r->ttl_ms == 0) {
        return (struct times){NO_DEADLINE, NO_DEADLINE};
    }
    return times_of_ttl(r, now_wall_ms, r->ttl_ms, chance);
}

struct times times_of_write(const struct config_rule *r, int64_t now_wall_ms, int64_t asked, double chance)
{
    int64_t ttl_ms = asked != NO_DEADLINE ? asked - now_wall_ms : r->ttl_ms > 0 ? r->ttl_ms : INT64_MAX;
    if (r->max_ttl_ms > 0) {
        ttl_ms = num_min_i64(ttl_ms, r->max_ttl_ms);
    }
    if (ttl_ms == INT64_MAX) {
        return (struct times){NO_DEADLINE, NO_DEADLINE};
    }
    if (ttl_ms <= 0) {
        return (struct times){asked, asked}; /* over already */
    }
    /* A deadline of a client may be so far away that a window does not fit behind it. */
    if (ttl_ms > INT64_MAX - now_wall_ms - stale_window_ms(r) - 1) {
        return (struct times){asked, asked};
    }
    return times_of_ttl(r, now_wall_ms, ttl_ms, chance);
}

bool times_of_negative(const struct config_rule *r, int64_t now_wall_ms, struct times *ret_times)
{
    if (r->negative_ttl_ms == 0) {
        return false;
    }
    *ret_times = (struct times){now_wall_ms + r->negative_ttl_ms, now_wall_ms + r->negative_ttl_ms};
    return true;
}

bool refresh_is_early(int64_t now_wall_ms, int64_t fresh_until, uint32_t load_ms, double beta, double chance)
{
    if (load_ms == 0 || fresh_until == NO_DEADLINE) {
        return false;
    }
    double left_ms = (double)(fresh_until - now_wall_ms);
    double unit_ms = load_ms * beta;
    if (left_ms > 40 * unit_ms) {
        return false; /* chance has 53 bits, so -ln(1 - chance) is below 37 */
    }
    return -unit_ms * log(1 - chance) >= left_ms; /* 1 - chance is in (0, 1] */
}

bool refresh_is_ahead(int64_t now_wall_ms, int64_t loaded_at, int64_t fresh_until, unsigned percent)
{
    if (loaded_at == 0 || fresh_until == NO_DEADLINE) {
        return false;
    }
    return (double)(now_wall_ms - loaded_at) * 100 > (double)(fresh_until - loaded_at) * percent;
}
