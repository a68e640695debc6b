/* Is linked with the library. */
int CountResumed(void);

int main(void)
{
	return CountResumed();
}
