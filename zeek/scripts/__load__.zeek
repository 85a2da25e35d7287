# What every site wants. The notices need a file of threats: @load packages/pdns/intel asks for them.
@load ./main
