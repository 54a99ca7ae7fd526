redis.call('DEL', ITEMS, ANSWERS, ORDER)
forget(MEMBER)
redis.call('PUBLISH', CHANNEL, MEMBER)
return 1
