module example.org/mine

go 1.26.0

require viplab v0.0.0

replace viplab => ../viplab
